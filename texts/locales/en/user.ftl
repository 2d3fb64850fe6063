### The context of users and persons.

event-UserRegistered = User registered
    .sentence = User { $self } registered
event-UserDetailsChanged = Details changed
    .sentence = The details of user { $self } changed
event-UserDeleted = User deleted
    .sentence = User { $self } was deleted
event-ErasureRequested = Erasure requested
    .sentence = Erasure requested for person { $self }: { $purposes }
event-PersonErased = Person erased
    .sentence = The data of person { $self } was erased: { $purposes }
aggregate-user = user
aggregate-person = person
field-purposes = purposes
    .account = account
    .invoice = invoice
context-user = Users, and the erasure of people
