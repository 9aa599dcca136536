"""What each visible step does, as functions of plain files; commands and the pipeline call the same ones."""
