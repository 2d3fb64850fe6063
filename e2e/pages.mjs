// Every page that there is, by name. The tests and the pictures go through them all.
export const PAGES = (made) => ({
  timeline: '/audit/timeline',
  nothing: '/audit/timeline?agg=order&q=%22no+such+thing%22',
  order: `/audit/a/order/${made.orders.whole}`,
  erased: `/audit/a/user/${made.users.zoe}`,
  long: `/audit/a/product/${made.long}?v=250`,
  correlation: `/audit/c/${made.correlation}`,
  projections: '/audit/projections',
});
