"""What others call their losses, and where this book has them: from a name to the book.

The cards go from a loss of this book to its names elsewhere. Here it is the other way round: every
loss that PyTorch, Keras, scikit-learn and optax offer, and every one that two surveys name, with an
answer for each. The tests hold the lists against the libraries that are installed, run the calls,
and prove that what is made of a loss is equal to it; ``make conventions`` does the same for Keras
and optax.
"""

from lossbook.names import keras, optax, pytorch, scikit_learn, surveys
from lossbook.names.entry import ANSWERS, FUNCTIONS, Entry

#: Where names come from -> its entries. The four libraries first.
NAMES = {
    "PyTorch": pytorch.ENTRIES,
    "Keras": keras.ENTRIES,
    "scikit-learn": scikit_learn.ENTRIES,
    "optax": optax.ENTRIES,
    "Terven et al.": surveys.TERVEN,
    "Jadon": surveys.JADON,
}

__all__ = ["ANSWERS", "FUNCTIONS", "NAMES", "Entry"]
