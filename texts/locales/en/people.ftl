### Who acts in the shop.

## kinds of actors

actor-guest = guest
actor-customer = customer
actor-staff = staff
actor-service = service
actor-system = system

## roles

role-support = support
role-warehouse = warehouse
role-finance = finance
role-auditor = auditor
role-ops = operations
role-admin = administrator
role-own = a role of the shop's own
