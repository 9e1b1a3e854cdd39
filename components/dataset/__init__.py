"""The room of datasets: folders of images with captions, as sd-scripts reads them. Knows no prices.

Facts about what sd-scripts finds, ignores and stops at are from its code (kohya-ss/sd-scripts 48d368fa).
"""
