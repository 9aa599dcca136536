"""How command blocks are found in pages; `make docs-check` runs them."""

import subprocess

import pytest

from tests.docs.run_blocks import PAGES, ROOT, Block, blocks_of

_PAGE = """text

```sh
true
```

<!-- not run: needs a board -->
```sh
ks100 flash model.ksm
```

```text
not a command
```
"""


def test_blocks_marked_sh_are_found_with_their_line_and_their_reason_not_to_run():
    found = list(blocks_of("p.md", _PAGE))
    assert [(b.line, b.text, b.reason) for b in found] == [
        (4, "true\n", ""),
        (9, "ks100 flash model.ksm\n", "needs a board"),
    ]


@pytest.mark.parametrize(
    ("text", "passes"),
    [("exit 0", True), ("(exit 4)  # exit 4", True), ("true  # exit 4", False), ("false\ntrue", False)],
)
def test_a_block_passes_only_with_the_exit_codes_that_it_states(text, passes):
    done = subprocess.run(["bash", "-c", Block("p.md", 1, text, "").script], check=False, capture_output=True)
    assert (done.returncode == 0) is passes


@pytest.mark.parametrize("page", PAGES[1:])
def test_every_guide_has_commands(page):
    assert list(blocks_of(page, (ROOT / page).read_text()))
