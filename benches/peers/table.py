"""Results as a Markdown table."""


def markdown(results):
    """One row a loss, three columns a shape: × the bound, × dicewise, and memory in logits."""
    names = list(dict.fromkeys(name for found in results for name in found["losses"]))
    heads, rules = ["loss"], [":--"]
    for found in results:
        shape = found["shape"]
        text = "×".join(map(str, shape[2:])) if len(set(shape[2:])) > 1 else f"{shape[2]}³"
        heads += [f"[{shape[0]}, {shape[1]}, {text}]<br>ms CPU", "× bound", "× dicewise<br>CPU, wall"]
        heads += ["memory<br>× logits"]
        rules += ["--:"] * 4
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join(rules)} |"]
    for name in names:
        cells = [name]
        for found in results:
            entry, ours = found["losses"].get(name), found["losses"].get("dicewise")
            if entry is None:
                cells += ["–"] * 4
                continue
            ratio = "–"
            if ours is not None:
                ratio = f"{entry['cpu_s'] / ours['cpu_s']:.1f}, {entry['wall_s'] / ours['wall_s']:.1f}"
            memory = entry.get("memory_bytes")
            cells += [
                f"{1000 * entry['cpu_s']:.0f}",
                f"{entry['cpu_s'] / found['bound_cpu_s']:.1f}",
                ratio,
                "–" if memory is None else f"{memory / found['logits_bytes']:.2f}",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    first = results[0]
    about = first["machine"]
    rates = ", ".join(f"{found['bandwidth_bytes_per_s'] / 1e9:.0f}" for found in results)
    lines += [
        "",
        f"{about['processor']}, {first['threads']} threads, {rates} GB/s, {first['rounds']} rounds, "
        f"load {about['load']:.1f}; "
        f"torch {about['torch']}, monai {about['monai']}, nnunetv2 {about['nnunetv2']}, "
        f"segmentation-models-pytorch {about['segmentation-models-pytorch']}, Python {about['python']}",
        "",
    ]
    return "\n".join(lines)
