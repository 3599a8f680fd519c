"Everything that the course exports: `from sgd_course.all import *`"
# ruff: noqa: F403

from .classifier import *
from .curve import *
from .data import *
from .descent import *
from .draw import *
from .explore import *
from .gradients import *
from .pixels import *
from .plot import *
from .slope import *
