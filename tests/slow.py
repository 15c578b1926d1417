"""Reference twins: written from the equations, in Python floats and loops, without the code under test."""

import math


def softmax(logits: list[float], temperature: float = 1.0) -> list[float]:
    """softmax(z/τ)."""
    top = max(logits)
    powers = [math.exp((z - top) / temperature) for z in logits]
    return [power / sum(powers) for power in powers]


def smoothed_label(symbols: int, target: int, epsilon: float, over: str) -> list[float]:
    """The smoothed label, written out: the two conventions differ in who shares ε."""
    if over == "others":
        return [1 - epsilon if k == target else epsilon / (symbols - 1) for k in range(symbols)]
    return [(1 - epsilon if k == target else 0.0) + epsilon / symbols for k in range(symbols)]


def cross_entropy(label: list[float], q: list[float]) -> float:
    """-Σ_k label_k · log q_k."""
    return -sum(p * math.log(s) for p, s in zip(label, q, strict=True) if p > 0)


def kl(p: list[float], q: list[float]) -> float:
    """Σ_k p_k · log(p_k / q_k)."""
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True) if a > 0)


def jensen_shannon(p: list[float], q: list[float], share: float) -> float:
    """B·KL(p ‖ m) + (1-B)·KL(q ‖ m), m = B·p + (1-B)·q."""
    m = [share * a + (1 - share) * b for a, b in zip(p, q, strict=True)]
    return share * kl(p, m) + (1 - share) * kl(q, m)


def skew(p: list[float], q: list[float], share: float) -> float:
    """KL(p ‖ A·p + (1-A)·q)."""
    return kl(p, [share * a + (1 - share) * b for a, b in zip(p, q, strict=True)])


def total_variation(p: list[float], q: list[float]) -> float:
    """Half of the sum of all differences."""
    return sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2


def power_sum(p: list[float], temperature: float) -> float:
    """U_{1/τ}(p) = Σ_v p_v^{1/τ}."""
    return sum(a ** (1 / temperature) for a in p)


def ranking(p: list[float], q: list[float], k: int) -> float:
    """L_rank of TIE-KD, pair by pair: a symbol that the teacher puts lower costs what it exceeds the other by."""
    teachers = sorted(range(len(p)), key=lambda v: -p[v])[:k]
    students = sorted(range(len(q)), key=lambda v: -q[v])[:k]
    loss = 0.0
    for t in teachers:
        loss += max(0.0, q[t] - q[teachers[0]])
        for s in students:
            if p[t] > p[s]:
                loss += max(0.0, q[s] - q[t])
    return loss


def kd_ls(
    student: list[float],
    teacher: list[float],
    target: int,
    temperature: float,
    kd_weight: float,
    epsilon: float,
    over: str,
    temper: str,
    squared: bool,
) -> float:
    """(1-λ)·H(smoothed label, q) + λ·τ²·KL(p(τ) ‖ q(τ)) at one position, from logits."""
    hard = cross_entropy(smoothed_label(len(student), target, epsilon, over), softmax(student))
    soft = kl(softmax(teacher, temperature), softmax(student, temperature if temper == "both" else 1.0))
    return (1 - kd_weight) * hard + kd_weight * (temperature**2 if squared else 1) * soft


def top_k_kl(p: list[float], q: list[float], k: int, tail: str) -> float:
    """The divergence when only the k most probable of the teacher's symbols are known, written out symbol by symbol."""
    kept = sorted(range(len(p)), key=lambda v: -p[v])[:k]
    rest = [v for v in range(len(p)) if v not in kept]
    mass = sum(p[v] for v in kept)
    if tail == "renormalise":
        return sum(p[v] / mass * math.log(p[v] / mass / q[v]) for v in kept)
    known = sum(p[v] * math.log(p[v] / q[v]) for v in kept)
    left = sum(p[v] for v in rest)
    if not rest:
        return known
    if tail == "bucket":
        return known + left * math.log(left / sum(q[v] for v in rest))
    return known + sum(left / len(rest) * math.log(left / len(rest) / q[v]) for v in rest)


def hardest(losses: list[float], window: list[float], share: float) -> list[float]:
    """1 for each loss that is among the largest ⌈share · M⌉ of a window of M, ties included."""
    least = sorted(window)[-math.ceil(share * len(window))]
    return [1.0 if loss >= least else 0.0 for loss in losses]


def hard_gate(q: list[float], p: list[float], target: int) -> float:
    """1 where the student gives the gold symbol more than the teacher does."""
    return 1.0 if q[target] > p[target] else 0.0


def hard_gate_sentences(q: list[list[float]], p: list[list[float]], target: list[int], rows: list[int]) -> list[float]:
    """1 for the tokens of sentences to which the student gives more than the teacher does."""
    gates = []
    for row in rows:
        where = [token for token, other in enumerate(rows) if other == row]
        student, teacher = (math.prod(each[token][target[token]] for token in where) for each in (q, p))
        gates.append(1.0 if student > teacher else 0.0)
    return gates


def gap(q: list[float], p: list[float], target: int, sharpness: float) -> float:
    """How much better the teacher is on the gold symbol, from 0 to 1."""
    return max(0.0, math.tanh(sharpness * math.log(p[target] / q[target])))


def virtual_teacher(kind: str, share: float, symbols: int, target: int, temperature: float) -> list[float]:
    """p(τ) of a virtual teacher, symbol by symbol."""
    p = [share if v == target else (1 - share) / (symbols - 1) for v in range(symbols)]
    if kind == "reg_power":
        powers = [each ** (1 / temperature) for each in p]
        return [power / sum(powers) for power in powers]
    return softmax(p, temperature) if kind == "reg_prob_as_logit" else p


def r_drop(passes: list[list[float]], target: int, strength: float) -> float:
    """½(CE₁ + CE₂) + A·½[KL(q₁ ‖ q₂) + KL(q₂ ‖ q₁)] at one position, from the logits of two passes."""
    first, second = (softmax(z) for z in passes)
    mean = -(math.log(first[target]) + math.log(second[target])) / 2
    return mean + strength * (kl(first, second) + kl(second, first)) / 2


def prior(p: list[float], target: int, gold: float) -> list[float]:
    """r = B·y + (1-B)·p of Self-Evolution KD."""
    return [gold * (v == target) + (1 - gold) * each for v, each in enumerate(p)]


def evolved(p: list[float], q: list[float], target: int, gold: float, mix: float) -> float:
    """KL(p ‖ (1-λ_t)·q + λ_t·r) at one position."""
    r = prior(p, target, gold)
    return kl(p, [(1 - mix) * s + mix * each for s, each in zip(q, r, strict=True)])


def sums_of_rows(rows: list[list[int]], drawn: list[int]) -> list[int]:
    """Σ of the drawn rows, one after the other, in Python's whole numbers."""
    return [sum(rows[at][column] for at in drawn) for column in range(len(rows[0]))]


def swapped_more(base: list[int], system: list[int], swaps: list[list[bool]]) -> int:
    """In how many trials the sums differ by more than they do, where swapped sentences change sides."""
    found = 0
    for swap in swaps:
        ours = sum(b if is_swapped else s for b, s, is_swapped in zip(base, system, swap, strict=True))
        theirs = sum(s if is_swapped else b for b, s, is_swapped in zip(base, system, swap, strict=True))
        found += abs(ours - theirs) > abs(sum(base) - sum(system))
    return found
