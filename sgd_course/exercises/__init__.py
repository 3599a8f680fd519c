"The exercises of the lessons, with their solutions: one module for each lesson."
