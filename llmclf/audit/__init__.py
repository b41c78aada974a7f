"""A model beside people: what is compared, and the document that says it."""
