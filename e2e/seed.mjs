// The data of the browser tests: a small shop's history, made by ordinary HTTP commands.
import { randomUUID } from 'node:crypto';
import { call, eventually, get, post, replayTool, sql } from './shop.mjs';

export const ANA = { name: 'Ana Zugspitze', email: 'ana.zugspitze@quux.example', phone: '+49 7700 900123', country: 'Germany' };
export const ANA_LATER = { ...ANA, phone: '+49 7700 900456' };
export const ZOE = { name: 'Zoe Quibble', email: 'zoe.quibble@quux.example', phone: '+44 7700 900789', country: 'United Kingdom' };
const ADDRESS = 'Krokodilgasse 17, 80331 Munich';
// No byte of these values may reach a caller without the permission.
export const PERSONAL = [ANA.name, ANA.email, ANA.phone, ANA_LATER.phone, ZOE.name, ZOE.email, ZOE.phone, ADDRESS];
export const FORMULA = '=HYPERLINK("http://x")';
export const LONG = 500;

const created = async (shop, path, body, options) => (await post(shop, path, body, options)).json.id;
const placed = (shop, sku, quantity, options, more = {}) =>
  created(shop, '/orders', { lines: [{ sku, quantity }], country: 'France', ...more }, options);

export function confirmed(shop, order, status = 'confirmed') {
  return eventually(`order ${order} is ${status}`, async () => (await get(shop, `/orders/${order}`)).json.status === status);
}

// An order of this country is parked by the read model `orders`: its database refuses the row.
export async function refuseAtlantis(shop) {
  await sql(shop, 'rm_orders_1', shop.database
    ? "ALTER TABLE orders ADD CONSTRAINT atlantis CHECK (country <> 'Atlantis');"
    : "CREATE TRIGGER atlantis BEFORE INSERT ON orders WHEN NEW.country = 'Atlantis' BEGIN SELECT RAISE(ABORT, 'no such country'); END;");
}

export async function cureAtlantis(shop) {
  await sql(shop, 'rm_orders_1', shop.database
    ? 'ALTER TABLE orders DROP CONSTRAINT atlantis;' : 'DROP TRIGGER atlantis;');
}

export async function seed(shop) {
  const made = { users: {}, orders: {}, correlation: randomUUID() };
  await refuseAtlantis(shop);
  made.users.ana = await created(shop, '/users', ANA);
  made.users.zoe = await created(shop, '/users', ZOE);
  const corrected = { as: 'support', body: ANA_LATER, headers: { 'if-match': '"1"', 'x-reason': 'number-corrected' } };
  await call(shop, 'PUT', `/users/${made.users.ana}`, corrected);

  // The whole life of an order, under one correlation: a storefront, the reactor, a warehouse, staff.
  const through = (channel) => ({ 'x-correlation-id': made.correlation, 'x-channel': channel });
  const storefront = { ...through('storefront'), 'x-on-behalf-of': `customer:${made.users.ana}` };
  const contact = { name: ANA.name, email: ANA.email, phone: ANA.phone, address: ADDRESS };
  const order = await placed(shop, 'MUG-01', 2, { as: 'service', headers: storefront },
    { customer: { user: made.users.ana }, contact, country: 'Germany' });
  await confirmed(shop, order);
  await post(shop, `/orders/${order}/shipment`, {}, { as: 'service', headers: through('webhook') });
  const refund = { order_id: order, country: 'Germany', lines: [{ sku: 'MUG-01', quantity: 1 }] };
  made.creditNote = await created(shop, '/credit-notes', refund,
    { as: 'support', headers: { 'x-correlation-id': made.correlation, 'x-reason': 'goods-damaged' } });
  made.orders.whole = order;

  made.orders.refused = await placed(shop, 'LAMP-01', 5000);
  made.orders.cancelled = await placed(shop, 'BAG-01', 1);
  made.orders.confirmed = await placed(shop, 'NOTE-01', 1);
  await confirmed(shop, made.orders.refused, 'refused');
  await confirmed(shop, made.orders.cancelled);
  await confirmed(shop, made.orders.confirmed);
  await post(shop, `/orders/${made.orders.cancelled}/cancellation`, { reason: 'changed-mind' });
  made.parkedCorrelation = randomUUID();
  made.orders.parked = await placed(shop, 'PEN-01', 1, { headers: { 'x-correlation-id': made.parkedCorrelation } },
    { country: 'Atlantis' });

  // A customer who is erased, with all personal values.
  made.orders.erased = await placed(shop, 'TEE-01', 1, {}, { customer: { user: made.users.zoe }, contact: { email: ZOE.email } });
  await confirmed(shop, made.orders.erased);
  await post(shop, `/people/${made.users.zoe}/erasures`, { purposes: ['account', 'invoice'] },
    { as: 'support', headers: { 'x-reason': 'erasure-requested' } });

  const price = { amount: 500, currency: 'GBP' };
  made.formula = await created(shop, '/products', { name: FORMULA, variants: [{ sku: 'HYP-01', price }] });
  made.long = await created(shop, '/products', { name: 'Weathercock', variants: [{ sku: 'LONG-01', price }] });
  const one = { sku: 'LONG-01' };
  for (let version = 2; version <= LONG; version += 1) {
    await post(shop, `/products/${made.long}/prices`, { ...one, price: { amount: 500 + version, currency: 'GBP' } });
  }
  shop.made = made;
  await caughtUp(shop);
  const built = await replayTool(shop, 'rebuild', 'users', '--json');
  if (built.code !== 0) throw new Error(`users cannot be rebuilt: ${built.stdout} ${built.stderr}`);
  made.run = JSON.parse(built.stdout.trim().split('\n').at(-1)).run;
  return shop;
}

// Waits until every read model has reached the head, and the erasure of Zoe is complete.
export async function caughtUp(shop) {
  if (shop.made?.users.zoe) {
    await eventually('Zoe is erased', async () => {
      const found = await get(shop, '/api/audit/timeline?type=PersonErased', { as: 'auditor' });
      return found.json.items.some((item) => item.subject === shop.made.users.zoe || item.aggregate_id === shop.made.users.zoe);
    });
  }
  await eventually('every read model is at the head', async () => {
    const health = JSON.parse(await (await fetch(`${shop.origin}/health/audit`)).text());
    return health.items.every((item) => item.lag_events === 0);
  });
}
