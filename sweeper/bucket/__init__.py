"""Trials' files in a bucket: published by whoever trains, fetched by whoever reads or goes on.

Where `$SWEEPER_BUCKET` names an address as a sweep begins, machines need share no folder. A trial
is trained in a scratch folder of its machine, and after each evaluation its files are published as
one commit, all of them or none:

    BUCKET/STUDY/00012/                                     STUDY names a study for ever
      files/000003-000017-9f2c.000004/samples/000300.png    content, under a key that is used once
      commits/000003-000017-9f2c.claim                      an attempt has begun
      commits/000003-000017-9f2c.000004.json                a commit: every file's key, size, sha256

`000003-000017-9f2c` is an attempt: the driver's, of the study, then the hand-out's, of the driver,
so that of two the later one has the greater name. The commit of the greatest name is the one that
stands.

    publish     send what has changed; put the commit, one object, last; then let go of what only
                the commit before it had
    take up     put the claim; then look which commit stands; put it again as this attempt's first;
                then let go of whatever else earlier attempts have left

A kill between any two of these leaves a commit that stands, whole. An attempt that was frozen and
wakes may still send and put, which nobody looks at any more; it lets go of nothing once a later
claim is there. Were its look before that claim, its own commit was there before it too, so that the
later attempt goes on from that one or from a later one, none of which has what is let go.
"""
