### The context __name__.

event-__Name__Opened = __Name__ opened
    .sentence = A __name__ was opened: { $label }
event-__Name__Closed = __Name__ closed
    .sentence = A __name__ was closed: { $reason }
aggregate-__name__ = __name__
context-__name__ = __Name__
problem-__name__-exists = There is a __name__ with this id already: read it, or leave the id out.
problem-__name__-not-found = There is no __name__ with this id.
