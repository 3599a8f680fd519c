"Learn stochastic gradient descent step by step, from x**2 to a classifier of handwritten digits."

__version__ = "0.1.0"
