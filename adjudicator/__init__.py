"""Decides claims: the stages, the edits, the money, the night."""
