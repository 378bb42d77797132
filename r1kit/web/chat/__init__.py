"""The page on which a person talks to the models of ``r1 serve``, to one or to two side by side."""
