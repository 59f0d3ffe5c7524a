"""What surrounds the LSTM: encoders, local scaling, heads; one frozen config each."""
