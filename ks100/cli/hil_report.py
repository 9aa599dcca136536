"""``ks100 hil report`` and ``ks100 hil schema``: what people and programs read of a finished run."""

from __future__ import annotations

from pathlib import Path

import click

from ks100.cli import hil_compare
from ks100.cli.hil_compare import policy_option
from ks100.cli.hil_history import history_option, open_history
from ks100.cli.output import print_json
from ks100.errors import verdict_code

__all__ = ["command", "schema"]


@click.command(name="report")
@click.argument("results", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--baseline", type=click.Path(path_type=Path, exists=True), help="An earlier run: what changed since.")
@click.option("--allow", multiple=True, metavar="WHAT", help="Accept that the two differ in this, as compare does.")
@click.option("--package", type=click.Path(path_type=Path, dir_okay=False), help="What was measured, for its profile.")
@click.option("--captures", type=click.Path(path_type=Path, file_okay=False), help="The run's captures, for pictures.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Where the page goes.")
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False),
              help="Where the summary for a merge request goes.")  # fmt: skip
@policy_option
@history_option
def command(
    results: Path, baseline: Path | None, allow: tuple[str, ...], package: Path | None, captures: Path | None,
    html: Path | None, markdown: Path | None, policy: Path | None, history: Path | None,
) -> int:  # fmt: skip
    """Write report.html and summary.md of a finished run anew, with what changed since a baseline.

    Ends as the run did, or as its comparison with the baseline does.
    """
    from hil.measurements.results import HilResults
    from hil.report.html import write_html
    from hil.report.markdown import SUMMARY_FILE, write_markdown
    from hil.report.run_report import REPORT_FILE, report_of_run

    hil_compare.check_allowed(allow)
    run, comparison = HilResults.load(results), None
    if baseline is not None:
        rules, runs = hil_compare.read_policy(policy), open_history(history)
        comparison = hil_compare.compare_runs(
            HilResults.load(baseline), run, (baseline, results), captures, rules, runs, allow
        )
    found = report_of_run(run, results, package=package, captures=captures, comparison=comparison)
    html, markdown = html or results / REPORT_FILE, markdown or results / SUMMARY_FILE
    write_html(found, html)
    write_markdown(found, markdown)
    click.echo(f"{html}, {markdown}: {found.verdict.value}")
    return verdict_code(found.verdict)


@click.command()
def schema() -> None:
    """Print the JSON Schema of results.json."""
    from hil.measurements.results import FILE
    from models.record_schema import schema_of

    print_json(schema_of(FILE, "Results of a KS-100 HIL run"))
