"""Models: what runs say of milestone times and regimes where nothing was trained; they know no figure and no file."""
