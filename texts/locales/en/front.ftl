### The page at `/`, and the contexts that have no file of their own.

context-analytics = Figures about sales, credits and stock
context-audit = What happened, who did it and why

page-front = Start
page-front-what = A commerce platform: users, products, stock, orders and sales figures. Everything that happens is recorded as an event in one log.
page-front-well = This process can do its work.
page-front-ill = This process cannot do all of its work right now.
page-front-api = API
page-front-browse = Browse the API
page-front-description = Its description (OpenAPI)
page-front-trail = Audit trail
page-front-trail-open = Who did what, when and why
page-front-trail-key = You need an API key to see it.
page-front-trail-elsewhere = This process does not serve it.
page-front-documentation = Documentation
page-front-document-readme = Read me first
page-front-document-api = Conventions of the API
page-front-document-audit = The audit trail
page-front-document-architecture = Architecture
page-front-document-operating = Operating the shop
page-front-document-deployment = Deployment
page-front-health = Health
page-front-ready = Whether this process can do its work
page-front-live = Whether this process is alive
page-front-health = The health of everything that follows the log
page-front-metrics = Metrics
page-front-process = What this process serves
page-front-context = Context
page-front-about = What it is about
page-front-no-contexts = It answers no requests about the shop.
page-front-role-all = This process does everything.
page-front-role-command-api = This process takes commands.
page-front-role-query-api = This process answers queries.
page-front-role-projector = This process builds read models, the search index and the cache.
page-front-role-relay = This process publishes the log on the message bus.
page-front-role-reactor = This process runs the process managers, and erases, purges and seals.
