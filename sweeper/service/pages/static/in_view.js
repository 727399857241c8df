// Which elements are in view, or within `margin` of it; `arrived` is called as one comes there.
export function inView(margin, arrived) {
  const there = new WeakSet();
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) {
          there.add(target);
          arrived(target);
        } else there.delete(target);
      }
    },
    { rootMargin: margin },
  );
  return { watch: (element) => observer.observe(element), has: (element) => there.has(element) };
}
