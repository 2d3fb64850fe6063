### Errors of the operating system.

system-error-not-found = No such file or folder
system-error-permission-denied = Permission denied
system-error-already-exists = It exists already
system-error-is-a-directory = It is a folder
system-error-not-a-directory = A part of the path is not a folder
system-error-directory-not-empty = The folder is not empty
system-error-storage-full = The disk is full
system-error-quota-exceeded = The quota of the disk is used up
system-error-file-too-large = The file would be too large
system-error-read-only-filesystem = The file system is read-only
system-error-invalid-filename = The name of the file is too long, or not allowed
system-error-broken-pipe = The reader closed the pipe
system-error-addr-in-use = The address is in use already
system-error-addr-not-available = This machine does not have the address
system-error-connection-refused = Connection refused
system-error-connection-reset = The other side closed the connection
system-error-host-unreachable = The host cannot be reached
system-error-network-unreachable = The network cannot be reached
system-error-timed-out = It did not answer in time
