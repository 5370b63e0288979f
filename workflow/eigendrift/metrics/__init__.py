"""What is measured along a run: displacement, localization, alignment."""
