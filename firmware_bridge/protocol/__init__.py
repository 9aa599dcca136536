"""What crosses a link: frames, a reliable window over them, and typed messages.

Sans-I/O: no sockets, files, sleeps or clocks; both ends of a cable use the same classes.
"""
