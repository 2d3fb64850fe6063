### 操作系统的错误。

system-error-not-found = 没有此文件或文件夹
system-error-permission-denied = 没有权限
system-error-already-exists = 已经存在
system-error-is-a-directory = 这是一个文件夹
system-error-not-a-directory = 路径中有一部分不是文件夹
system-error-directory-not-empty = 文件夹不为空
system-error-storage-full = 磁盘已满
system-error-quota-exceeded = 磁盘配额已用完
system-error-file-too-large = 文件过大
system-error-read-only-filesystem = 文件系统是只读的
system-error-invalid-filename = 文件名过长，或不被允许
system-error-broken-pipe = 读取方已关闭管道
system-error-addr-in-use = 地址已被占用
system-error-addr-not-available = 本机没有此地址
system-error-connection-refused = 连接被拒绝
system-error-connection-reset = 对方关闭了连接
system-error-host-unreachable = 无法到达主机
system-error-network-unreachable = 无法到达网络
system-error-timed-out = 未能及时应答
