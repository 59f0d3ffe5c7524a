"""The cell: definition, options, operators, layer, stream and trace. Needs torch alone."""
