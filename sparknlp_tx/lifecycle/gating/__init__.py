"""Gates: whether a candidate may replace the champion, decided from one scoring of both.

Imported by `lifecycle.promotion` and `cli`; imports what lies beside it in `lifecycle`, `tracking` and what is below.
"""
