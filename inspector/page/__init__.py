"""Everything over HTTP: the operator's page, metrics, probes, pictures, the archive behind them."""
