"""Growing: from what a large model answered to a specialist that earns its place, step by step."""
