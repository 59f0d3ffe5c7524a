"""The user's data, read, checked and laid out as sequences; knows no network."""

from foretell.sequences.frequency import Frequency as Frequency
from foretell.sequences.grid import build_panel as build_panel
from foretell.sequences.grid import future_covariates as future_covariates
from foretell.sequences.panel import Covariates as Covariates
from foretell.sequences.panel import Panel as Panel
from foretell.sequences.schema import Schema as Schema
from foretell.sequences.schema import infer_schema as infer_schema
from foretell.sequences.table import Table as Table
from foretell.sequences.table import read_table as read_table
from foretell.sequences.table import to_native as to_native
