"""What both daemons need of the machine they run on: a configuration file, a log, a service manager.

It knows nothing of VMs, hosts or drivers. It is here because controller and agent may both import this package, and
neither may import the other.
"""
