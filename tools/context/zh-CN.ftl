### The context __name__.

event-__Name__Opened = __Name__ 已开启
    .sentence = 已开启一个 __name__：{ $label }
event-__Name__Closed = __Name__ 已关闭
    .sentence = 已关闭一个 __name__：{ $reason }
aggregate-__name__ = __name__ 对象
context-__name__ = __Name__ 模块
problem-__name__-exists = 已有此编号的 __name__：请读取它，或不要指定编号。
problem-__name__-not-found = 没有此编号的 __name__。
