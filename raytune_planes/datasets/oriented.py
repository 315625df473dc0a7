"""Oriented boxes as tensors: corners and angles, what lies within a window, and how much two of them overlap.

A box is (x, y, w, h, angle): the centre, the longer and the shorter side, and the angle from the x axis to the longer
side in radians, in [-pi/2, pi/2). y points down, so a positive angle is clockwise as people see it. An angle tells the
direction of the longer side, not where the nose is. Corners are (x1, y1, ..., x4, y4), one after the other around it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def corners_of(boxes: Tensor) -> Tensor:
    """Corners [..., 8] of boxes [..., 5]."""
    x, y, w, h, angle = boxes.unbind(-1)
    cos, sin = angle.cos() / 2, angle.sin() / 2
    ends = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    points = [(x + a * w * cos - b * h * sin, y + a * w * sin + b * h * cos) for a, b in ends]
    return torch.stack([value for point in points for value in point], dim=-1)


def boxes_of(corners: Tensor) -> Tensor:
    """Boxes [..., 5] of corners [..., 8].

    Of corners that a slant has made a parallelogram: the box in the direction of the longer pair of its sides that
    holds all four.
    """
    one, other = _sides(corners)
    box = _along(corners, torch.where((one.norm(dim=-1) >= other.norm(dim=-1))[..., None], one, other))
    x, y, w, h, angle = box.unbind(-1)
    angle = torch.where(h > w, angle + math.pi / 2, angle)  # of a strongly slanted one
    angle = torch.remainder(angle + math.pi / 2, math.pi) - math.pi / 2
    return torch.stack([x, y, torch.maximum(w, h), torch.minimum(w, h), angle], dim=-1)


def upright(boxes: Tensor) -> Tensor:
    """Corners [..., 8] of boxes (left, top, right, bottom) [..., 4] that stand upright."""
    left, top, right, bottom = boxes.unbind(-1)
    return torch.stack([left, top, right, top, right, bottom, left, bottom], dim=-1)


def hulls(corners: Tensor) -> Tensor:
    """The upright boxes (left, top, right, bottom) [..., 4] around corners [..., 8]."""
    x, y = corners.unflatten(-1, (4, 2)).unbind(-1)
    return torch.stack([x.amin(-1), y.amin(-1), x.amax(-1), y.amax(-1)], dim=-1)


def within(corners: Tensor, window: Tensor) -> Tensor:
    """Corners [..., 8] of the boxes, in their own directions, around what lies in a window; all 0 where nothing does.

    They begin at the same corner as those given.

    Args:
        corners: [..., 8] of oriented boxes.
        window: (left, top, right, bottom), [..., 4] or [4].
    """
    box = _along(corners, _sides(corners)[0])
    window = window.to(corners).expand(*corners.shape[:-1], 4)
    seen, counts = _edges_inside(corners_of(box).unflatten(-1, (4, 2)), window)
    own = _in_frame(upright(window).unflatten(-1, (4, 2)), box)
    half_w, half_h = box[..., 2, None] / 2, box[..., 3, None] / 2
    covered = (own[..., 0].abs() <= half_w) & (own[..., 1].abs() <= half_h)
    points, valid = torch.cat([_in_frame(seen, box), own], -2), torch.cat([counts, covered], -1)
    low = points.masked_fill(~valid[..., None], torch.inf).amin(-2)
    high = points.masked_fill(~valid[..., None], -torch.inf).amax(-2)
    there = valid.any(-1, keepdim=True)
    low, high = (torch.where(there, each, 0) for each in (low, high))
    x, y, _, _, angle = box.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    ahead, aside = ((low + high) / 2).unbind(-1)
    middle = torch.stack([x + ahead * cos - aside * sin, y + ahead * sin + aside * cos], -1)
    return corners_of(torch.cat([middle, high - low, angle[..., None]], -1)) * there


def iou(corners_BK8: Tensor, others_BM8: Tensor) -> Tensor:
    """Intersection over union of every pair, [B, K, M]; 0 where a box has no area."""
    shared_BKM = _shared(corners_BK8, others_BM8)
    return shared_BKM / (_area(corners_BK8)[:, :, None] + _area(others_BM8)[:, None] - shared_BKM).clamp_min(1e-12)


def part(corners_BK8: Tensor, others_BM8: Tensor) -> Tensor:
    """What every pair shares, over the area of the smaller one, [B, K, M]; 0 where a box has no area."""
    smaller_BKM = torch.minimum(_area(corners_BK8)[:, :, None], _area(others_BM8)[:, None])
    return _shared(corners_BK8, others_BM8) / smaller_BKM.clamp_min(1e-12)


def _sides(corners: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of both sides in each of the two directions, [..., 2]."""
    first, second, third, fourth = corners.unflatten(-1, (4, 2)).unbind(-2)
    return second + third - first - fourth, third + fourth - first - second


def _along(corners: Tensor, side: Tensor) -> Tensor:
    """The box (x, y, along, across, angle) in the direction of ``side`` [..., 2] that holds all corners."""
    angle = torch.atan2(side[..., 1], side[..., 0])
    cos, sin = angle.cos(), angle.sin()
    horizontal, vertical = corners.unflatten(-1, (4, 2)).unbind(-1)
    ahead = horizontal * cos[..., None] + vertical * sin[..., None]
    aside = vertical * cos[..., None] - horizontal * sin[..., None]
    (low, high), (near, far) = ((at.amin(-1), at.amax(-1)) for at in (ahead, aside))
    x, y = (low + high) / 2, (near + far) / 2
    return torch.stack([x * cos - y * sin, x * sin + y * cos, high - low, far - near, angle], dim=-1)


def _area(corners: Tensor) -> Tensor:
    box = boxes_of(corners)
    return box[..., 2] * box[..., 3]


def _shared(corners_BK8: Tensor, others_BM8: Tensor) -> Tensor:
    """The area that the boxes of every pair have in common, [B, K, M]; computed where their hulls meet."""
    mine_BKM4, theirs_BKM4 = hulls(corners_BK8)[:, :, None], hulls(others_BM8)[:, None]
    low = torch.maximum(mine_BKM4[..., :2], theirs_BKM4[..., :2])
    meet_BKM = (torch.minimum(mine_BKM4[..., 2:], theirs_BKM4[..., 2:]) > low).all(-1)
    if torch.compiler.is_exporting():  # an exported model has no room for pairs whose number is not known
        mine_P8 = corners_BK8[:, :, None].expand(-1, -1, others_BM8.shape[1], -1).flatten(0, 2)
        theirs_P5 = boxes_of(others_BM8)[:, None].expand(-1, corners_BK8.shape[1], -1, -1).flatten(0, 2)
        return _intersection(mine_P8, theirs_P5).view(meet_BKM.shape)
    b_P, k_P, m_P = meet_BKM.nonzero(as_tuple=True)
    shared_BKM = corners_BK8.new_zeros(meet_BKM.shape)
    shared_BKM[b_P, k_P, m_P] = _intersection(corners_BK8[b_P, k_P], boxes_of(others_BM8)[b_P, m_P])
    return shared_BKM


def _intersection(corners_P8: Tensor, boxes_P5: Tensor) -> Tensor:
    """The area of P pairs of corners and a box.

    In the frame of the box, points are moved to the nearest ones of it. That changes how often a closed path runs round
    a point within the box for none, so the moved path holds the area of the intersection, by the shoelace formula. A
    straight edge becomes up to five, which begin where it crosses the lines through the box's sides.
    """
    start_P42 = _in_frame(corners_P8.unflatten(-1, (4, 2)), boxes_P5)
    half_P12 = boxes_P5[:, None, 2:4] / 2
    step_P42 = start_P42.roll(-1, dims=1) - start_P42
    whole_P42 = torch.where(step_P42 == 0, 1, step_P42)  # it stands still in this axis: any point tells where
    crossed = torch.cat([(side - start_P42) / whole_P42 for side in (-half_P12, half_P12)], -1)
    ends_P41 = torch.zeros_like(crossed[..., :1])
    at_P46 = torch.cat([ends_P41, crossed.clamp(0, 1).sort(dim=-1).values, ends_P41 + 1], -1)
    path_P462 = start_P42[:, :, None] + at_P46[..., None] * step_P42[:, :, None]
    half_P112 = half_P12[:, :, None]
    x_P46, y_P46 = torch.maximum(torch.minimum(path_P462, half_P112), -half_P112).unbind(-1)
    turns_P45 = x_P46[..., :-1] * y_P46[..., 1:] - x_P46[..., 1:] * y_P46[..., :-1]
    return turns_P45.sum((-1, -2)).abs() / 2


def _in_frame(points: Tensor, boxes: Tensor) -> Tensor:
    """Points [..., N, 2] as seen from the centres of boxes [..., 5], the first axis along their longer sides."""
    x, y, _, _, angle = (value[..., None] for value in boxes.unbind(-1))
    right, down, cos, sin = points[..., 0] - x, points[..., 1] - y, angle.cos(), angle.sin()
    return torch.stack([right * cos + down * sin, down * cos - right * sin], -1)


def _edges_inside(points: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """Both ends [..., 8, 2] of the parts of a polygon's four edges that lie in upright windows [..., 4], and whether
    there is such a part, [..., 8] (Liang and Barsky 1984)."""
    step = points.roll(-1, dims=-2) - points
    still, whole = step == 0, torch.where(step == 0, 1, step)
    low, high = window[..., None, :2], window[..., None, 2:]
    first, last = (low - points) / whole, (high - points) / whole
    outside = ((points < low) | (points > high)) & still
    begins = torch.where(still, 0, torch.minimum(first, last)).amax(-1).clamp_min(0)
    ends = torch.where(still, 1, torch.maximum(first, last)).amin(-1).clamp_max(1)
    valid = (begins <= ends) & ~outside.any(-1)
    seen = [points + at[..., None] * step for at in (begins, ends)]
    return torch.cat(seen, -2), torch.cat([valid, valid], -1)
