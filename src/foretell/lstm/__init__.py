"""The cell: definition, options, operators, layer, stream and trace. Needs torch alone."""

from foretell.lstm.cell import LSTMCell as LSTMCell
from foretell.lstm.definition import Activity as Activity
from foretell.lstm.layer import LSTM as LSTM
from foretell.lstm.operators import backend_names as backend_names
from foretell.lstm.operators import use_backend as use_backend
from foretell.lstm.options import VARIANTS as VARIANTS
from foretell.lstm.options import Options as Options
from foretell.lstm.stream import Stream as Stream
from foretell.lstm.trace import Trace as Trace
