"""Figures for a paper: landings of several controllers over many seeds."""
