"""Money: what a job costs on an offer, before anything is rented. Pure.

`work` is what a job asks of a machine, `terms` are those of one way to rent one offer, `experience` is what
earlier runs taught; `estimate` turns the three into hours and dollars, `bids` finds the bid that costs least.
Knows no API: `components.vast.offers` turns offers into terms and ranks them.
"""
