/** Checks that a page can be read and used by everybody, as far as a program can tell. Each returns what it found. */
import type { Page } from 'playwright-core';

/** Everything below, with the check's name before each finding. */
export async function findBarriers(page: Page): Promise<string[]> {
  return [
    ...(await findLowContrast(page)),
    ...(await findNameless(page)),
    ...(await findSmallTargets(page)),
    ...(await findBrokenStructure(page)),
  ];
}

/** Text whose contrast is below WCAG AA: 4.5, or 3 where it is large. */
export function findLowContrast(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    type Colour = [red: number, green: number, blue: number, alpha: number];
    const parse = (text: string): Colour => {
      const [red = 0, green = 0, blue = 0, alpha = 1] = (text.match(/[\d.]+/g) ?? []).map(Number);
      return [red, green, blue, alpha];
    };
    const over = (top: Colour, below: Colour): Colour => [
      top[0] * top[3] + below[0] * (1 - top[3]),
      top[1] * top[3] + below[1] * (1 - top[3]),
      top[2] * top[3] + below[2] * (1 - top[3]),
      1,
    ];
    const backOf = (element: Element | null): Colour => {
      if (element === null)
        return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0, 1] : [255, 255, 255, 1];
      const own = parse(getComputedStyle(element).backgroundColor);
      return own[3] === 1 ? own : over(own, backOf(element.parentElement));
    };
    const luminance = (colour: Colour): number => {
      const [red = 0, green = 0, blue = 0] = colour.slice(0, 3).map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const findings: string[] = [];
    const judge = (element: Element, colour: string, text: string): void => {
      const style = getComputedStyle(element);
      const back = backOf(element);
      const [light = 0, dark = 0] = [luminance(over(parse(colour), back)), luminance(back)].sort(
        (a, b) => b - a,
      );
      const ratio = (light + 0.05) / (dark + 0.05);
      const size = parseFloat(style.fontSize);
      const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      if (ratio < (isLarge ? 3 : 4.5))
        findings.push(`contrast ${ratio.toFixed(2)}: "${text.trim().slice(0, 40)}"`);
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const element = node.parentElement;
      if (element === null || (node.textContent ?? '').trim() === '') continue;
      // What is disabled is exempt (WCAG 1.4.3), and what is not shown has no contrast.
      if (
        !element.checkVisibility() ||
        element.closest(':disabled, fieldset:disabled, .visually-hidden, noscript')
      )
        continue;
      judge(element, getComputedStyle(element).color, node.textContent ?? '');
    }
    for (const field of document.querySelectorAll<HTMLInputElement>(
      'input[placeholder], textarea[placeholder]',
    )) {
      if (field.checkVisibility() && !field.matches(':disabled'))
        judge(field, getComputedStyle(field, '::placeholder').color, field.placeholder);
    }
    return findings;
  });
}

/** Controls that have no name for those who do not see them: asked of the browser's own accessibility tree. */
export async function findNameless(page: Page): Promise<string[]> {
  const roles = ['button', 'link', 'textbox', 'searchbox', 'checkbox', 'radio', 'combobox', 'dialog', 'img'];
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send('Accessibility.getFullAXTree');
  await session.detach();
  return nodes
    .filter(({ ignored, role, name }) => {
      const isNameless = String(name?.value ?? '').trim() === '';
      return !ignored && roles.includes(String(role?.value)) && isNameless;
    })
    .map(({ role }) => `a ${String(role?.value)} without a name`);
}

/** Controls smaller than 44 by 44 pixels, links within text aside. */
export function findSmallTargets(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const selector = 'button, input, select, textarea, summary, .button, .nav a, .brand';
    const findings: string[] = [];
    for (const element of document.querySelectorAll<HTMLElement>(selector)) {
      if (!element.checkVisibility()) continue;
      // A box or a radio button is pressed by its label.
      const box = (element.closest('label') ?? element).getBoundingClientRect();
      if (box.height < 43.5 || box.width < 43.5) {
        findings.push(
          `target ${Math.round(box.width)}×${Math.round(box.height)}: ${element.outerHTML.slice(0, 80)}`,
        );
      }
    }
    return findings;
  });
}

/** Doubled ids, references to nothing, skipped heading levels, a page wider than the screen. */
export function findBrokenStructure(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const findings: string[] = [];
    const ids = new Set<string>();
    for (const { id } of document.querySelectorAll('[id]')) {
      if (ids.has(id)) findings.push(`the id ${id} stands twice`);
      ids.add(id);
    }
    for (const name of ['for', 'aria-describedby', 'aria-labelledby', 'data-copy', 'form']) {
      for (const element of document.querySelectorAll(`[${name}]`)) {
        for (const id of (element.getAttribute(name) ?? '').split(' ')) {
          if (!ids.has(id)) findings.push(`${name}="${id}" names nothing`);
        }
      }
    }
    for (const fieldset of document.querySelectorAll('fieldset')) {
      if (fieldset.querySelector(':scope > legend') === null) findings.push('a fieldset without a legend');
    }
    let level = 0;
    for (const heading of document.querySelectorAll<HTMLElement>('h1, h2, h3, h4')) {
      if (!heading.checkVisibility()) continue;
      const next = Number(heading.tagName.slice(1));
      if (next > level + 1) findings.push(`heading level ${next} after ${level}: ${heading.textContent}`);
      level = next;
    }
    const excess = document.documentElement.scrollWidth - innerWidth;
    if (excess > 0) findings.push(`the page is ${excess} px wider than the screen`);
    return findings;
  });
}

/** Presses Tab through the whole page, and returns what is wrong with the order or with how focus is shown. */
export async function findFocusProblems(page: Page): Promise<string[]> {
  await page.evaluate(() => {
    (document.activeElement as HTMLElement | null)?.blur();
    scrollTo(0, 0);
  });
  const findings: string[] = [];
  let first = -1;
  let last = -1;
  for (let presses = 0; presses < 300; presses += 1) {
    await page.keyboard.press('Tab');
    const focus = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === null || element === document.body) return null;
      const shown = element.matches('.chips input, .segments input')
        ? (element.nextElementSibling ?? element)
        : element;
      const style = getComputedStyle(shown);
      const box = shown.getBoundingClientRect();
      const middle = document.elementFromPoint(box.x + box.width / 2, box.y + Math.min(box.height / 2, 20));
      return {
        index: [...document.querySelectorAll('*')].indexOf(element),
        name: element.outerHTML.slice(0, 80),
        isShown: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
        isCovered:
          middle !== null && !shown.contains(middle) && !middle.contains(shown) && !element.contains(middle),
      };
    });
    if (focus === null) return last === -1 ? ['nothing takes the focus'] : findings;
    if (focus.index === first) return findings; // Round again.
    if (first === -1) first = focus.index;
    if (focus.index <= last) findings.push(`focus goes back to ${focus.name}`);
    if (!focus.isShown) findings.push(`focus does not show on ${focus.name}`);
    if (focus.isCovered) findings.push(`the focus is covered on ${focus.name}`);
    last = focus.index;
  }
  return [...findings, 'Tab does not come to an end'];
}
