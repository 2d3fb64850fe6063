### The context of users and persons.

event-UserRegistered = User registered
    .sentence = A user registered
event-UserDetailsChanged = Details changed
    .sentence = A user's details changed
event-UserDeleted = User deleted
    .sentence = A user was deleted
event-ErasureRequested = Erasure requested
    .sentence = Erasure requested: { $purposes }
event-PersonErased = Person erased
    .sentence = A person's data was erased: { $purposes }
aggregate-user = user
aggregate-person = person
field-purposes = purposes
    .account = account
    .invoice = invoice
context-user = Users, and people who are forgotten
