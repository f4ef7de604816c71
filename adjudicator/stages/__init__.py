"""The stages of a night, one pure function a file."""
