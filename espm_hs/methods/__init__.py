"""Methods of the signal classes by task, each a few lines that call what is below."""

from espm_hs.methods.amounts import Amounts
from espm_hs.methods.figures import Figures
from espm_hs.methods.model_map import ModelOfMap
from espm_hs.methods.model_selection import ModelSelection
from espm_hs.methods.preparation import Preparation
from espm_hs.methods.quantification import Quantification

__all__ = [
    "Amounts",
    "Figures",
    "ModelOfMap",
    "ModelSelection",
    "Preparation",
    "Quantification",
]
