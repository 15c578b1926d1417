"""What is done with a trained student: average, export, translate with it, and measure its speed."""
