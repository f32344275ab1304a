"""The figures of a replay report, drawn with matplotlib (an extra: `pinnace[report]`) as SVG text."""
