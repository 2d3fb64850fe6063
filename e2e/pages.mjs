// Every page that there is, by name. The tests and the pictures go through them all.
export const PAGES = (made) => ({
  overview: '/audit',
  timeline: '/audit/timeline',
  grouped: `/audit/timeline?group=1&q=correlation:${made.correlation}`,
  nothing: '/audit/timeline?agg=order&q=%22no+such+thing%22',
  order: `/audit/a/order/${made.orders.whole}`,
  erased: `/audit/a/user/${made.users.zoe}`,
  long: `/audit/a/product/${made.long}?v=250`,
  correlation: `/audit/c/${made.correlation}`,
  tree: `/audit/c/${made.correlation}?view=tree`,
  table: `/audit/c/${made.correlation}?view=table&depth=0`,
  projections: '/audit/projections',
  projection: '/audit/projections/users',
  run: `/audit/runs/${made.run}`,
  parked: '/audit/parked',
  integrity: '/audit/integrity',
  keys: '/audit/keys',
});
