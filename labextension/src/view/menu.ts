/** A button that opens a menu; what cannot be done stays in it and says why. */
import {el, type Child} from './dom.js';

export interface MenuItem {
  label: string;
  hint: string;
  /** Why it cannot be done now; empty where it can. */
  why: string;
  act(): void;
}

const EDGE_PIXELS = 4;

/** `items` is asked when the menu opens. */
export function menuButton(face: Child[], title: string, items: () => MenuItem[]): HTMLElement {
  const menu = el('div', {class: 'fnb-menu', role: 'menu', 'aria-label': title, popover: 'auto'});
  const button = el(
    'button',
    {class: 'fnb-button', type: 'button', title, 'aria-label': title, 'aria-haspopup': 'menu', 'aria-expanded': 'false'},
    ...face
  );
  const open = () => {
    menu.replaceChildren(...items().map(item => entry(item, menu)));
    menu.showPopover();
    place(menu, button);
    (menu.firstElementChild as HTMLElement | null)?.focus();
  };
  button.addEventListener('click', open);
  menu.addEventListener('toggle', event => {
    button.setAttribute('aria-expanded', String((event as ToggleEvent).newState === 'open'));
  });
  menu.addEventListener('keydown', event => onKey(event, menu, button));
  return el('span', {class: 'fnb-menuplace'}, button, menu);
}

function entry({label, hint, why, act}: MenuItem, menu: HTMLElement): HTMLElement {
  const choose = () => {
    if (why !== '') return;
    menu.hidePopover();
    act();
  };
  return el(
    'div',
    {
      class: 'fnb-menuitem',
      role: 'menuitem',
      tabindex: -1,
      'aria-disabled': why !== '' ? 'true' : null,
      title: why,
      onclick: choose,
      onkeydown: (event: KeyboardEvent) => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        choose();
      }
    },
    el('span', {}, label),
    el('span', {class: 'fnb-muted'}, why || hint)
  );
}

function onKey(event: KeyboardEvent, menu: HTMLElement, button: HTMLElement): void {
  event.stopPropagation();
  const items = [...menu.children] as HTMLElement[];
  const at = items.indexOf(document.activeElement as HTMLElement);
  const focus = (to: number) => items[(to + items.length) % items.length].focus();
  const keys: Record<string, () => void> = {
    ArrowDown: () => focus(at + 1),
    ArrowUp: () => focus(at - 1),
    Home: () => focus(0),
    End: () => focus(-1),
    Tab: () => menu.hidePopover(),
    Escape: () => {
      menu.hidePopover();
      button.focus();
    }
  };
  const act = keys[event.key];
  if (!act) return;
  act();
  if (event.key !== 'Tab') event.preventDefault();
}

/** Under its button, inside the window. */
function place(menu: HTMLElement, button: HTMLElement): void {
  const {left, bottom, top} = button.getBoundingClientRect();
  const {width, height} = menu.getBoundingClientRect();
  const below = bottom + EDGE_PIXELS + height <= window.innerHeight;
  menu.style.left = `${Math.max(EDGE_PIXELS, Math.min(left, window.innerWidth - width - EDGE_PIXELS))}px`;
  menu.style.top = `${below ? bottom + EDGE_PIXELS : Math.max(EDGE_PIXELS, top - height - EDGE_PIXELS)}px`;
}
