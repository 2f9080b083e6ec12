"""The documents are correct: their code runs, and their tables agree with the code."""
