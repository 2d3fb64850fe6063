// What can be pressed is large enough, by WCAG 2.2, 2.5.8: 24 px each way, or far enough from everything else, or in a
// sentence.

// The targets of a page that are too small, as text; within `inside` where it is given.
export const small = (page, inside = 'body') => page.evaluate((within) => {
  const LEAST = 24;
  const WANTED = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [role=button], [role=link], [tabindex="0"]';
  const shown = (one) => one.checkVisibility({ checkVisibilityCSS: true }) && one.getBoundingClientRect().right > 0;
  // Pressing a label presses its field.
  const boxOf = (one) => (one.matches('input') ? one.closest('label') ?? one : one).getBoundingClientRect();
  const targets = [...document.querySelector(within).querySelectorAll(WANTED)].filter(shown)
    .map((one) => ({ one, box: boxOf(one) })).filter(({ box }) => box.width > 0 && box.height > 0);
  const isSmall = ({ box }) => box.width < LEAST - 0.5 || box.height < LEAST - 0.5;
  const inSentence = ({ one }) => {
    if (getComputedStyle(one).display !== 'inline') return false;
    let block = one.parentElement;
    while (getComputedStyle(block).display === 'inline') block = block.parentElement;
    const rest = block.cloneNode(true);
    rest.querySelectorAll(WANTED).forEach((target) => target.remove());
    return /\p{L}/u.test(rest.textContent);
  };
  const middle = ({ box }) => ({ x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2 });
  const far = (target) => targets.every((other) => {
    if (other === target || other.one.contains(target.one) || target.one.contains(other.one)) return true;
    const { x, y } = middle(target);
    if (isSmall(other)) {
      const to = middle(other);
      return Math.hypot(to.x - x, to.y - y) >= LEAST - 0.5;
    }
    const nearest = { x: Math.max(other.box.left, Math.min(x, other.box.right)), y: Math.max(other.box.top, Math.min(y, other.box.bottom)) };
    return Math.hypot(nearest.x - x, nearest.y - y) >= LEAST / 2 - 0.5;
  });
  return targets.filter((target) => isSmall(target) && !inSentence(target) && !far(target)).map(({ one, box }) => {
    const size = `${Math.round(box.width)} × ${Math.round(box.height)}`;
    return `${size} <${one.localName} class="${one.className}"> in <${one.parentElement.localName} class="${one.parentElement.className}">: ${(one.textContent || one.name || '').trim().slice(0, 40)}`;
  });
}, inside);

// The same for everything that can be unfolded: folds of the page together, menus one by one.
export async function smallUnfolded(page) {
  const found = await small(page);
  const unfold = (open) => page.evaluate((is) => document.querySelectorAll('details:not(.menu)').forEach((fold) => { fold.open = is; }), open);
  await unfold(true);
  found.push(...await small(page));
  await unfold(false);
  const menus = page.locator('details.menu');
  for (let number = 0; number < await menus.count(); number += 1) {
    const menu = menus.nth(number);
    await menu.evaluate((one) => { one.open = true; one.querySelector('.sheet').id = 'measured'; });
    found.push(...await small(page, '#measured'));
    await menu.evaluate((one) => { one.open = false; one.querySelector('.sheet').removeAttribute('id'); });
  }
  return [...new Set(found)];
}
