"Everything that the course exports: `from sgd_course.all import *`"
# ruff: noqa: F403

from .benchmark import *
from .broken import *
from .check import *
from .classifier import *
from .curve import *
from .data import *
from .descent import *
from .draw import *
from .explore import *
from .explorers import *
from .gradients import *
from .graph import *
from .launch import *
from .layers import *
from .learner import *
from .multiclass import *
from .noise import *
from .optimizers import *
from .parallel import *
from .pixels import *
from .plot import *
from .schedules import *
from .selection import *
from .slope import *
from .surface import *
