"""Which VMs move, so that hosts are used well or somebody finds room."""
