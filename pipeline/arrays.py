"""Short names for the types of NumPy arrays, by what they hold."""

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
UInt16Array = NDArray[np.uint16]
UInt64Array = NDArray[np.uint64]
UInt8Array = NDArray[np.uint8]
