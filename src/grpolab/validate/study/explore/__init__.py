"""Questions of the source papers, asked of committed counts: exploratory, and labelled so."""
