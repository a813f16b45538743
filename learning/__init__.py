"""From flight logs to a residual force with a bounded slope: labels, network, training, slopes."""
